"""Tools that make what the package ships; none of them is needed at run time."""
