#!/bin/sh
# The two logins, made when the database is made: one owns the schema and migrates, one serves and owns nothing.
# The passwords come from the environment and are in no command line.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv service_password SERVICE_PASSWORD
CREATE ROLE agentcore_owner LOGIN CREATEROLE PASSWORD :'owner_password';
CREATE ROLE agentcore_service LOGIN NOINHERIT PASSWORD :'service_password';
CREATE DATABASE agentcore OWNER agentcore_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE agentcore FROM PUBLIC;
GRANT CONNECT ON DATABASE agentcore TO agentcore_service;
SQL
