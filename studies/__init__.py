"""How often the gate errs within a year, and how soon it sees what is better: simulations of whole years of gates."""
