"""The endpoints of products that own or change flags, as far as they touch flags."""
