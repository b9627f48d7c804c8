"""The APIs that the gateway answers, one module each."""
