"""The node agent: a Pelix framework, its bundle loader, remote services and shell."""
