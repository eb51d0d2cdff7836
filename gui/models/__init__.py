"""State of the app as plain data: no Qt, no engine at run time, changes told through psygnal."""
