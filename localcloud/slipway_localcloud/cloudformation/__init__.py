"""CloudFormation's stack operations, in place of ministack's.

ministack deploys a stack's resources one after another, brings deleted stacks back to life when their
creation ends later, and only records client tokens. All of that lives in its stack loops, so these
are written anew here; its template language (`engine`) and its resource provisioners are used as they are.
"""
