"""What tests share: small files, stores and models, and slow reference implementations."""
