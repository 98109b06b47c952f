"""Where an application comes from: each kind of SOURCE to files and objects."""
