-- Each oracle has a database of its own: what one has lost it gets back from the others.
CREATE DATABASE oracle_1;
CREATE DATABASE oracle_2;
CREATE DATABASE oracle_3;
