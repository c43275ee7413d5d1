"""Seeds: reading a document, loading it into an empty world, and exporting a world as one."""
