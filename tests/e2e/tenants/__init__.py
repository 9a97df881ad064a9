"""What tenants do on a running system, which all tests of this folder share: a package, so that a fixture can last for it."""
