#!/bin/sh
# The lab's database holds no data: this prints what a dump of it would begin and end with.
printf '%s\n' '--' '-- PostgreSQL database dump' '--' 'SET client_encoding = '"'UTF8'"';'
printf '%s\n' '--' '-- PostgreSQL database dump complete' '--'
