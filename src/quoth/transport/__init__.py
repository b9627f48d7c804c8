"""The only floor that opens sockets: HTTP for blocking and for asyncio programs, and the two drivers that run a flow
over it."""
