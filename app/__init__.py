"""The service: REST routes, actions, store, index and the bridge to the networks."""
