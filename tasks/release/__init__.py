"""Making a release from source."""
