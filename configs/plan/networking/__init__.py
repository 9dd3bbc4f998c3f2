"""How each networking tool is told what to do with an interface at every start, one module for each tool."""
