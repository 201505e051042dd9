"""What networks say, read as :class:`SemanticMap` and :class:`Instances`: one module per family of outputs."""
