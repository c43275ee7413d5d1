"""Find changes that avoid an approval without being gated themselves."""
