-- Only for new code: old code goes on without looking at it.
alter table orders add column paid boolean not null default false;
