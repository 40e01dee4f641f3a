"""A network behind a web page: who may ask for what (gate), what is uploaded, what is shown, and the server.

Gradio, an optional package, is imported here only, and only when the command `serve` runs.
"""
