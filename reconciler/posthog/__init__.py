"""The far side: the only room with a socket. Paths go in, parsed bodies or our errors come out."""
