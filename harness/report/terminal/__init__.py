"""Tables, maps and progress on a terminal; the only modules beside the command line that know rich."""
