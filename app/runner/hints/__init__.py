"""From what programs print to a reason code and what to do: one table of signatures."""
