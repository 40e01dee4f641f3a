"""What an evaluation shows: a page a task, with tables as CSV, pictures, and `report.json` for what reads it."""
