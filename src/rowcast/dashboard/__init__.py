"""The dashboard: pages for people about jobs, drawn on the server, read only."""
