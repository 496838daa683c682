#!/bin/sh
# Never ends a job, and hears no signal that can be ignored; neither does its child.
[ "$1" = --info ] && echo '{"roles": ["snapshot"]}' && exit 0
trap '' TERM INT HUP USR1
sleep 600 &
while :; do wait; sleep 1; done
