#!/bin/sh
# The contact manager. In 2012 no name of another cloud service could be looked up inside a virtual network, so the connection
# string had the database's address: sql1 is the first machine in BackEnd.
cd "$(dirname "$0")" || exit
export PGHOST=10.0.2.4 PGPORT=1433 PGDATABASE=contacts
export PGUSER=contactmanager PGPASSWORD=ContactManager.2012 # see schema.sql
exec node web/server.js
