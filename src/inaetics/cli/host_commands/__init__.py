"""The commands of `inaetics` that are about hosts, one file each: parse, one call, print."""
