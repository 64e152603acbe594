"""Random traffic for chaos_test.py: clients, servers and configurations that do anything, as dice of one seed say.

Every connection and every configuration has dice of its own, so that what one does says nothing about the next. A seed
repeats what each of them tries, though not how their times fall together.
"""
