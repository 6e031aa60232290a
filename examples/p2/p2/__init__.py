"""The example of examples/p2: a sensor table, a model of one's own, and a thin pipeline over rowcast."""
