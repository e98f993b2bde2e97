"""Unit files as values: grammar, names, templates, specifiers, [X-Fleet], [Container]. Pure; imports only errors."""
