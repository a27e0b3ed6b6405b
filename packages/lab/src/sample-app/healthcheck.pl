# Exit 0 when the app beside it says that it is healthy. Perl, because a fleet's containers are checked each second:
# Node would take longer to start than the app to answer.
use strict;
use warnings;
use Socket qw(PF_INET SOCK_STREAM inet_aton pack_sockaddr_in);

my ($host, $port) = ($ENV{HOST} // '127.0.0.1', $ENV{PORT} // 8000);
$SIG{ALRM} = sub { fail('no answer within 5 s') };
alarm 5;
my $app;
socket($app, PF_INET, SOCK_STREAM, 0) && connect($app, pack_sockaddr_in($port, inet_aton($host))) or fail($!);
syswrite $app, "GET /health/ HTTP/1.0\r\nHost: $host:$port\r\n\r\n";
my $answer = '';
1 while sysread $app, $answer, 65536, length $answer;
my ($status) = $answer =~ m{^HTTP/\S+ (\d+)} or fail('no answer');
print "GET /health/ answered $status\n";
exit($status == 200 ? 0 : 1);

sub fail {
  print "GET /health/: @_\n";
  exit 1;
}
