-- The database of the contact manager. The password is the one in web.sh; it protects a lab.
CREATE ROLE contactmanager LOGIN PASSWORD 'ContactManager.2012';
CREATE DATABASE contacts OWNER contactmanager;

\connect contacts
SET ROLE contactmanager;

CREATE TABLE contacts (
	id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name  text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
	email text NOT NULL CHECK (length(email) BETWEEN 1 AND 200)
);

INSERT INTO contacts (name, email) VALUES
	('Ada Lovelace', 'ada@example.com'),
	('Grace Hopper', 'grace@example.com'),
	('Edsger Dijkstra', 'edsger@example.com');
