# The `docker` of a lab host: hands its arguments, directory and environment to the host's engine over a unix socket
# and plays back what it answers. Frames both ways: one byte kind, four bytes length, content.
# To the engine: 0 = call (NUL between the number of arguments, them, the directory and the environment), 1 = stdin,
# 2 = end of stdin. From it: 1 = stdout, 2 = stderr, 3 = exit code, 4 = send stdin.
# Perl, of which every Debian and macOS has enough: a deploy calls docker some thirty times, and Node starts in 60 ms.
# A signal ends it as it ends the docker client, and its call with it.
use strict;
use warnings;
use Cwd qw(getcwd);
use Socket qw(AF_UNIX SOCK_STREAM pack_sockaddr_un);

my $path = $ENV{LAB_ENGINE_SOCKET} // '(LAB_ENGINE_SOCKET is not set)';
my $engine;
socket($engine, AF_UNIX, SOCK_STREAM, 0) && connect($engine, pack_sockaddr_un($path))
  or fail("Cannot connect to the Docker daemon at unix://$path. Is the docker daemon running? ($!)");
send_frame(0, join "\0", scalar @ARGV, @ARGV, getcwd(), map { "$_=$ENV{$_}" } keys %ENV);

my ($rest, $asked) = ('', 0);
for (;;) {
  my $ready = '';
  vec($ready, fileno $engine, 1) = 1;
  vec($ready, fileno STDIN, 1) = 1 if $asked;
  next if select($ready, undef, undef, undef) < 0;
  if ($asked && vec($ready, fileno STDIN, 1)) {
    $asked = sysread STDIN, my $piece, 65536;
    $asked ? send_frame(1, $piece) : send_frame(2, '');
  }
  next unless vec($ready, fileno $engine, 1);
  sysread $engine, $rest, 65536, length $rest
    or fail('error during connect: the engine closed the connection: unexpected EOF');
  while (length $rest >= 5) {
    my ($kind, $size) = unpack 'CN', $rest;
    last if length $rest < 5 + $size;
    my $content = substr $rest, 5, $size;
    $rest = substr $rest, 5 + $size;
    if ($kind == 1) { put(\*STDOUT, $content) }
    elsif ($kind == 2) { put(\*STDERR, $content) }
    elsif ($kind == 3) { exit unpack 'N', $content }
    elsif ($kind == 4) { $asked = 1 }
  }
}

sub send_frame {
  my ($kind, $content) = @_;
  put($engine, pack('CN', $kind, length $content) . $content);
}

sub put {
  my ($to, $content) = @_;
  for (my $done = 0; $done < length $content;) {
    $done += syswrite($to, $content, length($content) - $done, $done) // exit 1;
  }
}

sub fail {
  print STDERR "@_\n";
  exit 1;
}
