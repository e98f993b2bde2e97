"""etcd v3 behind one small protocol. Nothing else in the project speaks etcd, and no command's fast path imports it."""
