"""Links: what each is set to, what it carried, and the service that changes them."""
