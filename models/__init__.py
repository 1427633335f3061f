"""The torch library: detection, alignment, encoding and measuring of faces. It knows nothing of the service."""
