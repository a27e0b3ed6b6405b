create table orders (id serial primary key, what text not null);
insert into orders (what) values ('one rope'), ('two fenders');
