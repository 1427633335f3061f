"""The keys of people: a key for each, wrapped by the master key, in a store of its own."""
