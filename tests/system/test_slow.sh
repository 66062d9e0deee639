#!/bin/bash
# 300 slow clients of each kind for 10 s; the long form is for `make torture`.
exec "$(dirname "$0")/../fault/slow_clients" 300 10
