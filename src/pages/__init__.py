"""Pages for people: one `index.html` with pictures and tables beside it, which needs no network."""
