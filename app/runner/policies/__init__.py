"""What packs may run or bring, by the policies of the service and of the request, and what nobody may."""
