"""Scenarios against a deployed stack. They use its API and the AWS services that operators use.

They find everything through the stack's outputs, so they are independent of the location of the
stack.
"""
