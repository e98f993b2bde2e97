"""The sum over the whole pipeline: is every sample offered refused, queued, in flight or stored?"""
