"""Dialogs, help, and what starts or ends a session."""
