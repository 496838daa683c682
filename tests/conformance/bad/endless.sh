#!/bin/sh
# Says nothing and never ends.
exec sleep 600
