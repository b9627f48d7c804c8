"""One call from Call to result, written once as generators of effects; drivers of the transport floor perform them.

Pure: time and randomness are arguments, and no connection is ever held here.
"""
