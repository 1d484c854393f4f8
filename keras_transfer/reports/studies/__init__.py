"""Pages of studies: a module for each sort of folder, and ``table``, which knows them."""
