"""The Python face: thin, no logic of its own. Calls become plans here, and results the objects that users hold."""
