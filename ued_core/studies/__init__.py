"""Studies: what needs attacks, defences, analysis and runs together, as pages and the command line ask for it."""
