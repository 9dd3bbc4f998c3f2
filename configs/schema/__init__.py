"""The typed form of ``clusters/*.yaml`` and ``releases/*.yaml``. Nothing here contacts anything."""
